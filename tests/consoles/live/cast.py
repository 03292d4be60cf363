"""Run as a program in the console's environment: makes its database and the cast, and prints their sessions."""

import json
import os

import django


def main() -> None:
    """One JSON object: name to session key."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproject.settings")
    django.setup()
    from django.core.management import call_command

    from proxy.models import Developer
    from tests.consoles.people import NAMES, browser, member

    call_command("migrate", verbosity=0)
    Developer.objects.create(email="dana@example.test", name="Dana", user=member("stranger"))
    sessions = {name: browser(name).cookies["sessionid"].value for name in (*NAMES, "stranger")}
    for name in ("leaver", "demoted"):
        member(name)
        from consoles.models import Membership, Role

        Membership.objects.create(user=member(name), role=Role.VIEWER, temporary_password=False)
        sessions[name] = browser(name).cookies["sessionid"].value
    print(json.dumps(sessions))


if __name__ == "__main__":
    main()
