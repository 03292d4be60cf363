"""Settings of all processes, from environment variables; `docs/configuration.md` lists them."""

import os
import sys
from pathlib import Path

from gatewayproject import env

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Data ---------------------------------------------------------------------------------------------

TIDEGATE_DATA = env.folder("TIDEGATE_DATA", BASE_DIR / "data")
DATABASES = {"default": env.database(env.secret("DATABASE_URL"), TIDEGATE_DATA / "tidegate.sqlite3")}
REDIS_URL = env.secret("REDIS_URL")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- The node -----------------------------------------------------------------------------------------

NODE_NAME = env.text("NODE_NAME") or os.uname().nodename
TIDEGATE_HOST = env.text("TIDEGATE_HOST", "127.0.0.1")
TIDEGATE_GATEWAY_PORT = env.port("TIDEGATE_GATEWAY_PORT", 8000)
TIDEGATE_CONSOLE_PORT = env.port("TIDEGATE_CONSOLE_PORT", 8001)
TIDEGATE_STATUS_PORT = env.port("TIDEGATE_STATUS_PORT", 8002)
TIDEGATE_TLS_PORT = env.port("TIDEGATE_TLS_PORT", 0)
TIDEGATE_STATUS_HOST = env.text("TIDEGATE_STATUS_HOST") or "127.0.0.1"
TIDEGATE_H2_PORT = env.port("TIDEGATE_H2_PORT", 0)
TIDEGATE_H2_CERTIFICATE = env.text("TIDEGATE_H2_CERTIFICATE")
TIDEGATE_H2_KEY = env.text("TIDEGATE_H2_KEY")
TIDEGATE_WORKERS = env.integer("TIDEGATE_WORKERS", os.cpu_count() or 1, minimum=1, maximum=1024)
TIDEGATE_TASKS = env.boolean("TIDEGATE_TASKS", default=True)
"""Every node with traffic needs it: records go from a node's own spool to the database in its tasks process."""
TIDEGATE_DRAIN_DELAY = env.integer("TIDEGATE_DRAIN_DELAY", 0, maximum=3600)
"""Seconds from `/readyz` saying no to the end of listening, for load balancers to see it."""
TIDEGATE_DEMO = env.boolean("TIDEGATE_DEMO")
TIDEGATE_DEMO_PORT = env.integer("TIDEGATE_DEMO_PORT", 8100, minimum=1, maximum=65_530)
"""The first of six."""

TIDEGATE_PUBLIC_URL = env.text("TIDEGATE_PUBLIC_URL") or (
    f"http://{'127.0.0.1' if TIDEGATE_HOST in ('', '0.0.0.0', '::') else TIDEGATE_HOST}:{TIDEGATE_GATEWAY_PORT}"
)
"""Where clients reach the gateway: the portal shows it, and its try-it forms call it."""

# --- Secrets and hosts --------------------------------------------------------------------------------

SECRET_KEY = env.secret("SECRET_KEY") or env.generated_secret(TIDEGATE_DATA / "secret_key")
SECRET_KEY_FALLBACKS = env.several_secrets("SECRET_KEY_FALLBACKS")
"""Those before it: what they signed and sealed is still good, until `manage.py config reseal`."""
DEBUG = env.boolean("TIDEGATE_DEBUG")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [])

TIDEGATE_TRUSTED_PROXIES = env.networks("TIDEGATE_TRUSTED_PROXIES")
"""Proxies in front of the console; `trusted_proxies` of the gateway's configuration are those in front of it."""
TIDEGATE_FORWARDED_HEADER = env.choice(
    "TIDEGATE_FORWARDED_HEADER", "X-FORWARDED", ("X-FORWARDED", "FORWARDED")
)

# --- Application --------------------------------------------------------------------------------------

INSTALLED_APPS = [
    # For its `runserver`; every other command would import Twisted for nothing.
    *(["daphne"] if "runserver" in sys.argv[1:2] else []),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "proxy",
    "consoles",
    "analytics",
]
MIDDLEWARE = [
    "consoles.client_address.client_address",
    "django.middleware.security.SecurityMiddleware",
    "consoles.ui.headers.security_headers",
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "gatewayproject.urls"
ASGI_APPLICATION = "gatewayproject.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "consoles.ui.headers.theme_script",
            ],
            "builtins": ["consoles.ui.tags"],
        },
    }
]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["consoles.api.auth.Bearer", "consoles.api.auth.Session"],
    "DEFAULT_PERMISSION_CLASSES": ["consoles.api.auth.Allowed"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["consoles.api.body.StrictJson"],
    "DEFAULT_PAGINATION_CLASS": "consoles.api.pages.Pages",
    "DEFAULT_FILTER_BACKENDS": ["consoles.api.filters.ClosedFilters"],
    "DEFAULT_SCHEMA_CLASS": "consoles.api.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "consoles.api.errors.handle",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tidegate Admin API",
    "DESCRIPTION": "Everything that the console can do. Errors are problems (RFC 9457).",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["consoles.api.auth.Allowed"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
    "POSTPROCESSING_HOOKS": ["consoles.api.schema.complete"],
}

# --- Console security ---------------------------------------------------------------------------------

CONSOLE_HTTPS = env.boolean("TIDEGATE_CONSOLE_HTTPS")
"""People reach the console over TLS only: cookies are marked secure and browsers told to stay on TLS."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONSOLE_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = 31_536_000 if CONSOLE_HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = "console:sign-in"
LOGIN_REDIRECT_URL = "console:overview"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- E-mail -------------------------------------------------------------------------------------------

EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
"""Without a mail server e-mails, and with them the portal's codes, are printed by the console's process."""
EMAIL_PORT = env.port("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.secret("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", bool(EMAIL_HOST))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "tidegate@localhost")

# --- Static files -------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = env.text("TIDEGATE_STATIC_ROOT") or None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
WHITENOISE_MAX_AGE = 30 * 86_400
"""Pages ask for static files by a version of their content."""

# --- Language and time --------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Celery -------------------------------------------------------------------------------------------

CELERY_QUEUE = TIDEGATE_DATA / "celery"
CELERY_BROKER_URL = REDIS_URL or "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {}
    if REDIS_URL
    else {
        "data_folder_in": str(CELERY_QUEUE / "queue"),
        "data_folder_out": str(CELERY_QUEUE / "queue"),
        "control_folder": str(CELERY_QUEUE / "control"),
    }
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {}
CELERY_BEAT_SCHEDULE_FILENAME = str(TIDEGATE_DATA / "celery" / "beat")

# --- Analytics ----------------------------------------------------------------------------------------

TIDEGATE_RAW_ROWS = env.integer("TIDEGATE_RAW_ROWS", 500_000)
"""Requests in the traffic log; with 0 there is none."""
TIDEGATE_RAW_DAYS = env.integer("TIDEGATE_RAW_DAYS", 7, maximum=36_500)
TIDEGATE_MINUTE_DAYS = env.integer("TIDEGATE_MINUTE_DAYS", 3, minimum=1, maximum=36_500)
TIDEGATE_HOUR_DAYS = env.integer(
    "TIDEGATE_HOUR_DAYS", max(93, TIDEGATE_MINUTE_DAYS), minimum=TIDEGATE_MINUTE_DAYS, maximum=36_500
)
TIDEGATE_DAY_DAYS = env.integer(
    "TIDEGATE_DAY_DAYS", max(1100, TIDEGATE_HOUR_DAYS), minimum=TIDEGATE_HOUR_DAYS, maximum=36_500
)
"""Rollups by the day are kept at least as long as those by the hour, and these as those by the minute."""
TIDEGATE_INGEST_BATCH = env.integer("TIDEGATE_INGEST_BATCH", 50_000, minimum=100, maximum=1_000_000)
TIDEGATE_SPOOL_GRACE_SECONDS = env.integer("TIDEGATE_SPOOL_GRACE_SECONDS", 10, maximum=86_400)
TIDEGATE_SERIES = env.integer("TIDEGATE_SERIES", 100_000, minimum=1_000, maximum=10_000_000)

# --- Logging ------------------------------------------------------------------------------------------

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.choice("TIDEGATE_LOG_LEVEL", "INFO", LOG_LEVELS)},
}
