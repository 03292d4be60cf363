"""URLs of the console port."""

from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="console:overview"), name="landing"),
    path("api/v1/", include("consoles.api.urls")),
    path("console/", include("consoles.urls")),
    path("portal/", include("consoles.portal.urls")),
]
