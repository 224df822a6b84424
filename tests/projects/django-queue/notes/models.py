from django.db import models


class Letter(models.Model):
    sent = models.BooleanField(default=False)
