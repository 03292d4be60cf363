import msgspec
from django.db import migrations

import proxy.models.sealed
from proxy.config.seal import WrongSeal
from proxy.models.sealed import seals


def _rewrite(apps, schema_editor, change):
    """Write all stored private keys anew: those of the draft and those in Revisions."""
    using = schema_editor.connection.alias
    certificates = apps.get_model("proxy", "Certificate").objects.using(using)
    for pk, name, key in certificates.values_list("pk", "name", "key"):
        certificates.filter(pk=pk).update(key=change(key, f"certificate {name}"))
    revisions = apps.get_model("proxy", "Revision").objects.using(using)
    for pk in list(revisions.filter(document__contains='"certificates"').values_list("pk", flat=True)):
        number, text = revisions.values_list("number", "document").get(pk=pk)
        try:
            whole = msgspec.json.decode(text)
            rows = [row for row in whole.get("certificates", ()) if row.get("key")]
        except (msgspec.DecodeError, AttributeError, TypeError):
            continue  # of a version that nobody can read any more
        for row in rows:
            row["key"] = change(row["key"], f"certificate {row.get('name')} of revision {number}")
        revisions.filter(pk=pk).update(document=msgspec.json.encode(whole).decode())


def _opened(text, owner):
    try:
        return seals().open(text)
    except WrongSeal as error:
        raise WrongSeal(f"{owner}: key: {error}") from None


def seal(apps, schema_editor):
    """Private keys were stored as they are."""
    _rewrite(apps, schema_editor, lambda text, owner: seals().seal(_opened(text, owner)))


def unseal(apps, schema_editor):
    """Back to what earlier versions read."""
    _rewrite(apps, schema_editor, _opened)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0002_plan_apis")]
    operations = [
        migrations.RunPython(seal, unseal),
        migrations.AlterField("certificate", "key", proxy.models.sealed.SealedTextField()),
    ]
