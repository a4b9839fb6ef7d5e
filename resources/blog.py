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
        home, settings = self.settings.home_path, self.settings
        remote, base_url = settings.blog_remote, settings.blog_base_url
        if settings.simulated:
            remote = remote or str(home / "world" / "blog.git")
            base_url = base_url or f"{settings.world_url}/blog"
        if not remote or not base_url:
            raise Misconfigured("EMPIRE_BLOG_REMOTE and EMPIRE_BLOG_BASE_URL are not set: add both to .env.")
        address = settings.blog_deploy_hook
        hook = DeployHook(address.get_secret_value()) if address else None
        return BlogClient(remote, home / "blog", base_url, timeout=self.timeout_seconds, deploy_hook=hook)
