import os

from django.http import JsonResponse
from django.urls import path
from django_q.tasks import async_task, result
from notes.models import Letter


def index(request):
    return JsonResponse({"database": os.environ["DATABASE"]})


def send(request):
    """Send a letter through the worker and wait until it is sent."""
    letter = Letter.objects.create()
    task = async_task("notes.sending.send", letter.pk)
    result(task, wait=20_000)
    letter.refresh_from_db()
    return JsonResponse({"sent": letter.sent, "database": os.environ["DATABASE"]})


urlpatterns = [path("", index), path("try", send)]
