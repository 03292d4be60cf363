"""The addresses of the live views."""

from django.urls import path, re_path

from consoles.live.overview import OverviewSeat
from consoles.live.seat import Nowhere
from consoles.live.tail import TailSeat

urlpatterns = [
    path("console/live/overview/", OverviewSeat.as_asgi()),
    path("console/live/tail/", TailSeat.as_asgi()),
    re_path("", Nowhere.as_asgi()),
]
