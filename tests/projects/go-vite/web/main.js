document.title = (await (await fetch("/api/tracks")).json()).tracks.join(", ");
