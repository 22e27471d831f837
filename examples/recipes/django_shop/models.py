"""An order, with its invoice. A view stores both in one transaction of Django's, and does nothing else."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    invoice = models.BinaryField()
    ksef_number = models.CharField(max_length=36, null=True)
    problem = models.TextField(default="")
