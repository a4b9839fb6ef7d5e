"""Announce changed links, whoever changes them, so that the tracking service's table in memory is never stale."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION announce_changed_link() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'TRUNCATE' THEN PERFORM pg_notify('links_changed', ''); RETURN NULL; END IF;
            IF TG_OP <> 'INSERT' THEN PERFORM pg_notify('links_changed', OLD.code); END IF;
            IF TG_OP <> 'DELETE' THEN PERFORM pg_notify('links_changed', NEW.code); END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER links_changed AFTER INSERT OR UPDATE OR DELETE ON links "
        "FOR EACH ROW EXECUTE FUNCTION announce_changed_link()"
    )
    op.execute(
        "CREATE TRIGGER links_emptied AFTER TRUNCATE ON links "
        "FOR EACH STATEMENT EXECUTE FUNCTION announce_changed_link()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER links_emptied ON links")
    op.execute("DROP TRIGGER links_changed ON links")
    op.execute("DROP FUNCTION announce_changed_link()")
