from notes.models import Letter


def send(number):
    Letter.objects.filter(pk=number).update(sent=True)
