"""The blog: a git repository that a host deploys."""

import dagster as dg

from affiliate_empire.kernel.errors import Misconfigured
from affiliate_empire.settings import Settings
from affiliate_empire.vendors.blog import BlogClient
from affiliate_empire.vendors.deploy_hook import DeployHook


class BlogResource(dg.ConfigurableResource[BlogClient]):
    """The blog's remote. In the sandbox the world hosts it."""

    settings: dg.ResourceDependency[Settings]
    timeout_seconds: float = 60.0

    def create_resource(self, context: dg.InitResourceContext) -> BlogClient:
        if self.settings.blog is None:
            raise Misconfigured("EMPIRE_BLOG_REMOTE and EMPIRE_BLOG_BASE_URL are not set: add both to .env.")
        remote, base_url = self.settings.blog
        address = self.settings.blog_deploy_hook
        hook = DeployHook(address.get_secret_value()) if address else None
        return BlogClient(
            remote, self.settings.home_path / "blog", base_url, timeout=self.timeout_seconds, deploy_hook=hook
        )
