from django.db import migrations, models


def sell_everywhere(apps, schema_editor):
    """Until now every Plan was sold on every Api."""
    using = schema_editor.connection.alias
    plan, api = apps.get_model("proxy", "Plan"), apps.get_model("proxy", "Api")
    through = plan.apis.through
    keys = list(api.objects.using(using).values_list("pk", flat=True))
    for pk in plan.objects.using(using).values_list("pk", flat=True):
        rows = [through(plan_id=pk, api_id=key) for key in keys]
        through.objects.using(using).bulk_create(rows, batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0001_initial")]
    operations = [
        migrations.AddField("plan", "apis", models.ManyToManyField(blank=True, related_name="plans", to="proxy.api")),
        migrations.RunPython(sell_everywhere, migrations.RunPython.noop),
    ]
