document.title = (await (await fetch("/api/books")).json()).books.join(", ");
