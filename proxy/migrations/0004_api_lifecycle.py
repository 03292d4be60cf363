from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("proxy", "0003_seal_private_keys")]
    operations = [
        migrations.AddField("api", "deprecated_at", models.DateField(blank=True, null=True)),
        migrations.AddField("api", "sunset_at", models.DateField(blank=True, null=True)),
        migrations.AddField("api", "documentation_url", models.CharField(blank=True, max_length=1000)),
    ]
