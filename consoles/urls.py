"""All URLs of the admin console, in the namespace `console`."""

from consoles.ui.registry import urls

app_name = "console"
urlpatterns = urls()
