from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0004_api_lifecycle")]
    operations = [
        migrations.AddField("upstream", "outlier", models.JSONField(blank=True, default=dict)),
    ]
