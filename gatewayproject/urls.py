"""URLs of the console port. The console and the portal are mounted here."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def landing(request: HttpRequest) -> HttpResponse:
    """The page at `/` until the console is mounted here."""
    return HttpResponse("Tidegate\n\nThe admin console and the developer portal come here.\n", "text/plain")


urlpatterns = [path("", landing, name="landing")]
