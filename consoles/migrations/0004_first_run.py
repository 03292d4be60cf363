from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consoles", "0003_saved_view")]
    operations = [
        migrations.AddField("membership", "first_run_done", models.BooleanField(default=False, editable=False)),
    ]
