"""The keys that this world accepts. No secrets: they open nothing else. Repeated here because nothing is imported."""

from __future__ import annotations

OPENAI = "sandbox-openai-key"
ELEVENLABS = "sandbox-elevenlabs-key"
ANTHROPIC = "sandbox-anthropic-key"
FAL = "sandbox-fal-id:sandbox-fal-secret"
RUNWAY = "sandbox-runway-key"
TIKTOK_CLIENT_KEY = "sandbox-tiktok-client"
TIKTOK_CLIENT_SECRET = "sandbox-tiktok-secret"  # noqa: S105 - published, opens only this world
TIKTOK_REFRESH_TOKEN = "sandbox-tiktok-refresh-token"  # noqa: S105
INSTAGRAM_USER_ID = "17841400000000001"
INSTAGRAM_ACCESS_TOKEN = "sandbox-instagram-token"  # noqa: S105
META_APP_ID = "1000000000000001"
META_APP_SECRET = "sandbox-meta-app-secret"  # noqa: S105
YOUTUBE_CLIENT_ID = "sandbox-youtube-client"
YOUTUBE_CLIENT_SECRET = "sandbox-youtube-secret"  # noqa: S105
YOUTUBE_REFRESH_TOKEN = "sandbox-youtube-refresh-token"  # noqa: S105
IMPACT_ACCOUNT_SID = "IRsandbox0000000000000000000000000001"
IMPACT_AUTH_TOKEN = "sandbox-impact-token"  # noqa: S105
