"""Which products a day's pieces are about, and which account makes each.

Every account fills its turns with the best products that it takes, those that are bound to a niche first: another
account may take other products, they may not. What a bound account cannot fill goes to free slots of its platform's
other bound accounts, and what is left then to those of accounts that take any niche, after their own turns: their best
hours stay with their best products. A piece that would be lost for a product that another piece has takes it where that
piece can be about another one. So an account more never makes a piece less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from affiliate_empire.kernel.money import dollars
from affiliate_empire.planning.costs import PieceCost

Product = dict[str, Any]


@dataclass(frozen=True)
class Demand:
    """A piece to be made: by whom, of which niche (None: any), for which slot."""

    kind: str
    platform: str
    account_id: str
    account_niche: str | None
    slot_at: datetime


@dataclass
class _Shelf:
    """The usable products, best first, and what is taken of them."""

    products: Sequence[Product]
    share: int  # pieces that a niche gets at most
    costs: Mapping[str, PieceCost]
    money: dict[str, int]
    in_niche: dict[str, int]
    used: set[str] = field(default_factory=set)  # ids, and names: two offers under one name are one thing to a viewer
    passed_over: bool = False
    without_money: dict[str, None] = field(default_factory=dict)

    def best_for(self, demand: Demand, only: Sequence[str] = ()) -> Product | None:
        """The best product that is left for a demand; of the niches ``only`` where any are given."""
        for product in self.left():
            niche = product["niche"]
            if demand.account_niche not in (None, niche) or (only and niche not in only):
                continue
            if self.lacks_money(niche, demand.kind):
                self.without_money[niche] = None
            elif self.is_full(niche):
                self.passed_over = True
            else:
                return product
        return None

    def take(self, product: Product, kind: str) -> None:
        niche = product["niche"]
        self.used |= {product["product_id"], product["title"].casefold()}
        self.in_niche[niche] = self.in_niche.get(niche, 0) + 1
        if niche in self.money:
            self.money[niche] -= self.costs[kind].max_micros

    def left(self) -> Iterable[Product]:
        return (p for p in self.products if p["product_id"] not in self.used and p["title"].casefold() not in self.used)

    def lacks_money(self, niche: str, kind: str) -> bool:
        return niche in self.money and self.costs[kind].max_micros > self.money[niche]

    def is_full(self, niche: str) -> bool:
        return self.in_niche.get(niche, 0) >= self.share


@dataclass
class _Dealing:
    """Products on their way to demands. ``owed`` niches are on test and have no piece yet."""

    shelf: _Shelf
    on_test: Sequence[str]
    to_serve: int
    chosen: list[tuple[Demand, Product]] = field(default_factory=list)
    bounds: list[dict[str, Any]] = field(default_factory=list)

    def serve(self, demand: Demand) -> bool:
        """Give a demand the best product that it may have, or one that is owed where no more demands are left."""
        owed = [niche for niche in self.on_test if niche not in self.shelf.in_niche]
        product = self.shelf.best_for(demand, owed) if owed and len(owed) >= self.to_serve else None
        if product is not None:
            sentence = f"A piece goes to {product['niche']}, on test this week, before better-ranked products."
            self.bounds.append(bound("test", demand.platform, 1, 1, sentence))
        else:
            product = self.shelf.best_for(demand)
        if product is None:
            return False
        self.shelf.take(product, demand.kind)
        self.chosen.append((demand, product))
        self.to_serve -= 1
        return True

    def serve_own(self, demands: Sequence[Demand]) -> list[Demand]:
        """Serve demands as they are; returns those for which there is nothing."""
        return [demand for demand in demands if not self.serve(demand)]

    def pass_on(self, demands: Sequence[Demand], free: list[Demand]) -> list[Demand]:
        """Serve demands in free slots of other accounts, by turns; returns those for which there is nothing."""
        unserved = []
        for demand in demands:
            pieces = Counter(each.account_id for each, _ in self.chosen)
            others = dict.fromkeys(each.account_id for each in free if each.platform == demand.platform)
            for account_id in sorted(others, key=lambda name: (pieces[name], name)):
                slot = next(each for each in free if each.account_id == account_id)
                if self.serve(slot):
                    free.remove(slot)
                    break
            else:
                unserved.append(demand)
        return unserved

    def squeeze_in(self, platform: str, offers: Sequence[Demand], tried: set[str]) -> bool:
        """Make one more piece of a platform in a free slot, if need be of a product whose piece can be about another.

        Args:
            offers: every slot that an account offers.
            tried: products that were asked for already.
        """
        taken = {demand for demand, _ in self.chosen}
        free = {
            offer.account_id: offer for offer in reversed(offers) if offer.platform == platform and offer not in taken
        }
        places = [free[account_id] for account_id in sorted(free)]
        if any(self.serve(place) for place in places):
            return True
        for place in places:
            for number, (holder, product) in enumerate(self.chosen):
                fits = place.account_niche in (None, product["niche"])
                as_dear = holder.kind == place.kind or product["niche"] not in self.shelf.money
                if product["product_id"] in tried or not (fits and as_dear):
                    continue
                tried.add(product["product_id"])
                self.chosen[number] = (place, product)
                if self.squeeze_in(holder.platform, offers, tried):
                    return True
                self.chosen[number] = (holder, product)
        return False


def choose_products(
    demands: Sequence[Demand],
    offers: Sequence[Demand],
    ranked: pd.DataFrame,
    *,
    niche_weights: Mapping[str, float],
    costs: Mapping[str, PieceCost],
    niche_micros: Mapping[str, int],
    on_test: Sequence[str],
    standing: Sequence[str],
) -> tuple[list[tuple[Demand, Product]], list[dict[str, Any]]]:
    """Give each piece its product, and its account where the one whose turn it is has none.

    Args:
        demands: the pieces asked for, those first that choose first.
        offers: every slot that an account offers, its best hours first.
        ranked: ``RankedProducts`` of the day.
        niche_weights: factors on the scores, 1 where absent.
        costs: what a piece costs, by kind.
        niche_micros: what the niches with a cap of their own have left.
        on_test: niches that get at least one piece each.
        standing: niches of pieces that stand already, one each: they count into a niche's share.

    Returns:
        The pieces with their products, in the order in which they were chosen, and what bound (``bound``).
    """
    products = _by_weight(ranked, niche_weights)
    total = len(demands) + len(standing)
    niches = len({product["niche"] for product in products})
    half = max(1, total // 2)
    share = max(half, -(-total // niches)) if niches else half
    dealing = _Dealing(
        _Shelf(products, share, costs, dict(niche_micros), dict(Counter(standing))), on_test, len(demands)
    )
    if share > half:
        sentence = f"Up to {share} of {total} pieces in one niche instead of {half}: only {niches} niches can be used."
        dealing.bounds.append(bound("niche share", "all", half, share, sentence))
    free = [offer for offer in offers if offer not in demands]
    bound_ones, others = _parted(demands)
    free_of_bound, free_of_others = _parted(free)
    unserved = dealing.pass_on(dealing.serve_own(bound_ones), free_of_bound)
    taken_over, lost = _taken_over(unserved, others, free_of_others)
    dealing.to_serve -= len(lost)
    lost += dealing.serve_own([*others, *taken_over])
    lost = [demand for demand in lost if not dealing.squeeze_in(demand.platform, offers, set())]
    dealing.bounds += [
        *_of_bound_accounts(bound_ones, dealing.chosen),
        *_of_tests(on_test, dealing.shelf),
        *_of_caps(dealing, total, niche_micros, len(demands)),
        *_of_losses(lost, len(demands), dealing.shelf, niches, total),
    ]
    return dealing.chosen, dealing.bounds


def _taken_over(
    unserved: Sequence[Demand], taken: Sequence[Demand], free: Sequence[Demand]
) -> tuple[list[Demand], list[Demand]]:
    """The free slots that demands are passed on to, the accounts taking turns, and the demands that get none."""
    left, found, lost = list(free), list[Demand](), list[Demand]()
    for demand in unserved:
        pieces = Counter(each.account_id for each in (*taken, *found))
        slots = [each for each in left if each.platform == demand.platform]
        if not slots:
            lost.append(demand)
            continue
        slot = min(slots, key=lambda each: (pieces[each.account_id], each.account_id))
        left.remove(slot)
        found.append(slot)
    return found, lost


def bound(cap: str, platform: str, asked: int, allowed: int, sentence: str) -> dict[str, Any]:
    """What a cap made of what was asked for, as a plan's evidence keeps it."""
    return {"cap": cap, "platform": platform, "asked": asked, "allowed": allowed, "reason": sentence}


def _by_weight(ranked: pd.DataFrame, niche_weights: Mapping[str, float]) -> list[Product]:
    eligible = ranked[ranked["eligible"]]
    factors = [float(niche_weights.get(niche, 1.0)) for niche in eligible["niche"]]
    weighted = eligible.assign(weighted=eligible["score"].to_numpy() * factors).sort_values(
        ["weighted", "product_id"], ascending=[False, True]
    )
    records = weighted[["product_id", "niche", "title", "weighted"]].to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


def _parted(demands: Sequence[Demand]) -> tuple[list[Demand], list[Demand]]:
    """Those of accounts bound to a niche, and the others."""
    return (
        [demand for demand in demands if demand.account_niche is not None],
        [demand for demand in demands if demand.account_niche is None],
    )


def _of_bound_accounts(demands: Sequence[Demand], chosen: Sequence[tuple[Demand, Product]]) -> Iterable[dict[str, Any]]:
    """The accounts that had fewer products of their niche than turns."""
    made = Counter(demand.account_id for demand, _ in chosen)
    turns = Counter(demand.account_id for demand in demands)
    for first in {demand.account_id: demand for demand in demands}.values():
        asked, got = turns[first.account_id], made[first.account_id]
        if got < asked:
            sentence = (
                f"{first.account_id} got {got} of its {asked} turns: it takes only {first.account_niche}, of which "
                "nothing more can be used."
            )
            yield bound("account niche", first.platform, asked, got, sentence)


def _of_tests(on_test: Sequence[str], shelf: _Shelf) -> Iterable[dict[str, Any]]:
    for niche in on_test:
        if niche not in shelf.in_niche:
            sentence = f"No piece for {niche}, on test this week: no usable product of it fits an account that posts."
            yield bound("test", "all", 1, 0, sentence)


def _of_caps(dealing: _Dealing, total: int, niche_micros: Mapping[str, int], asked: int) -> Iterable[dict[str, Any]]:
    """Better-ranked products that a niche's share, or its money, kept out."""
    shelf = dealing.shelf
    if shelf.passed_over:
        full = " and ".join(sorted(niche for niche in shelf.in_niche if shelf.is_full(niche)))
        sentence = (
            f"Better-ranked products of {full} were passed over: a niche gets at most {shelf.share} of {total} pieces."
        )
        yield bound("niche share", "all", total, shelf.share, sentence)
    for niche in shelf.without_money:
        made = sum(product["niche"] == niche for _, product in dealing.chosen)
        sentence = (
            f"{made} pieces of {niche}, and better-ranked products of it were passed over: the niche's cap has "
            f"{dollars(niche_micros[niche])} left for the day."
        )
        yield bound("niche budget", "all", asked, made, sentence)


def _of_losses(lost: Sequence[Demand], asked: int, shelf: _Shelf, niches: int, total: int) -> Iterable[dict[str, Any]]:
    """The pieces for which there is no product, with what keeps back those that are left."""
    if not lost:
        return
    usable = len({product["title"].casefold() for product in shelf.products})
    why = [f"the catalogue has {usable} usable products in {niches} niches"]
    kept_back: dict[str, dict[str, None]] = {"money": {}, "share": {}, "account": {}}
    for product in shelf.left():
        niche = product["niche"]
        poor = all(shelf.lacks_money(niche, demand.kind) for demand in lost)
        kept_back["money" if poor else "share" if shelf.is_full(niche) else "account"][niche] = None
    money, full, others = (" and ".join(sorted(kept_back[by])) for by in ("money", "share", "account"))
    if money:
        why.append(f"the caps of {money} allow no more")
    if full:
        why.append(f"of {full} the day has its {shelf.share} of {total} pieces")
    if others:
        platforms = " and ".join(dict.fromkeys(demand.platform for demand in lost))
        why.append(f"no account of {platforms} with a free slot takes {others}")
    less = sum(shelf.costs[demand.kind].max_micros for demand in lost)
    sentence = f"{asked - len(lost)} of {asked} pieces, up to {dollars(less)} less: {'; '.join(why)}."
    yield bound("products", "all", asked, asked - len(lost), sentence)
