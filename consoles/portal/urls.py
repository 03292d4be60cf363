"""All URLs of the portal, in the namespace `portal`."""

from consoles.portal import api_page, apps, catalog, keys, signup, usage

app_name = "portal"
urlpatterns = [
    *catalog.urlpatterns,
    *api_page.urlpatterns,
    *signup.urlpatterns,
    *apps.urlpatterns,
    *keys.urlpatterns,
    *usage.urlpatterns,
]
