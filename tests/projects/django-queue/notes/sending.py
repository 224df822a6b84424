from notes.models import Letter


def send(number):
    return Letter.objects.filter(pk=number).update(sent=True)
