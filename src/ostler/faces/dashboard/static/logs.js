// Log lines of one service: the newest, searched on the server, followed while they are shown.

const LOG_LINES = 500;
const FOLLOW_PAUSE = 1500;

function Logs({ service }) {
  const [shown, setShown] = useState({ lines: [], source: "", error: "", done: false });
  const [search, setSearch] = useState("");
  const [errorsOnly, setErrorsOnly] = useState(false);
  const [follow, setFollow] = useState(true);
  const box = useRef(null);

  useEffect(() => {
    let going = true;
    (async () => {
      let cursor = "";
      let lines = [];
      let lost = false;
      while (going) {
        const args = { name: service.name, lines: LOG_LINES };
        if (cursor) args.cursor = cursor;
        if (search) args.search = search;
        if (errorsOnly) args.errorsOnly = true;
        const answer = await answered("service_logs", args);
        if (!going) return;
        if (answer.failed) {
          setShown({ lines, source: "", error: answer.text, done: true });
          if (!answer.lost) return;
        } else {
          const fresh = answer.data.lines ?? [];
          if (fresh.length || !cursor || lost) {
            lines = [...lines, ...fresh].slice(-2 * LOG_LINES);
            setShown({ lines, source: answer.data.source ?? "", error: "", done: true });
          }
          cursor = answer.data.cursor ?? "";
        }
        lost = Boolean(answer.lost);
        await pause(FOLLOW_PAUSE);
        while (going && document.hidden) await pause(FOLLOW_PAUSE);
      }
    })();
    return () => {
      going = false;
    };
  }, [service.name, search, errorsOnly]);

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [shown, follow]);

  return html`<div class="logs">
    <form class="tools" onSubmit=${(event) => event.preventDefault()}>
      <input type="search" aria-label="Search the log (regular expression)" placeholder="Search (regular expression)"
        onKeyDown=${(event) => event.key === "Enter" && setSearch(event.target.value)}
        onChange=${(event) => setSearch(event.target.value)} />
      <label><input type="checkbox" checked=${errorsOnly} onChange=${(event) => setErrorsOnly(event.target.checked)} /> Errors only</label>
      <label><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} /> Follow</label>
    </form>
    ${shown.error
      ? html`<p class="trouble">${shown.error}</p>`
      : html`<pre class="code lines" ref=${box} role="log" aria-label=${`Log of ${service.name}`} tabindex="0">${
          shown.lines.length ? marked(shown.lines.join("\n"), search) : shown.done ? "No lines." : "Reading…"
        }</pre>`}
    ${shown.source && html`<p class="source">from ${shown.source}</p>`}
  </div>`;
}

// The text with what `search` matches marked; a search that is only the server's to understand marks nothing.
function marked(text, search) {
  if (!search) return text;
  let pattern;
  try {
    pattern = new RegExp(search, "g");
  } catch {
    return text;
  }
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    if (!found[0]) continue;
    parts.push(text.slice(end, found.index), html`<mark>${found[0]}</mark>`);
    end = found.index + found[0].length;
    if (parts.length > 2000) break;
  }
  return [...parts, text.slice(end)];
}
