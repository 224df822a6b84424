// What people do to services: tools of Ostler, as any client calls them, and a question before what changes something.

const READS = new Set([
  "config_get", "mcpserver_get", "mcpserver_list", "mcpserver_validate", "project_status", "service_events",
  "service_explain", "service_get", "service_list", "service_logs", "service_plan", "service_status",
  "service_validate", "service_wait", "serviceclass_check", "serviceclass_get", "serviceclass_list", "tool_describe",
  "tool_list",
]);

const QUESTIONS = {
  service_stop: ["Stop", "It can be started again."],
  service_restart: ["Restart", "It is stopped and started again."],
  service_delete: ["Delete", "It is stopped and forgotten. This cannot be undone."],
  service_start: ["Start", "It is started with the arguments that it was created with."],
  service_renew: ["Renew", "Its lease starts over."],
  project_up: ["Bring up", "Its services are created and started as its ostler.yaml says."],
  project_down: ["Take down", "All services of this project are stopped and removed."],
};

let working = new Set();

// Call a tool and show its answer; ask before, unless it only reads or is known to be harmless.
async function act(tool, args, { question = true } = {}) {
  if (question && !READS.has(tool) && !(await confirmed(tool, args))) return null;
  const key = `${tool} ${args.name ?? ""}`;
  working = new Set([...working, key]);
  set({});
  try {
    const answer = await connection.call(tool, args);
    notify(answer.text.split("\n").slice(0, 6).join("\n") || `${tool}: done`, answer.failed ? "bad" : "good");
    return answer;
  } catch (error) {
    notify(`${tool}: ${error.message}`, "bad");
    return null;
  } finally {
    working = new Set([...working].filter((each) => each !== key));
    set({});
    catchUp().catch(() => {});
  }
}

function confirmed(tool, args) {
  const [verb, means] = QUESTIONS[tool] ?? ["Call", "This may change something."];
  const what = args.name ?? args.directory ?? tool;
  return asked({
    title: QUESTIONS[tool] ? `${verb} ${what}?` : `Call ${tool}?`,
    means,
    details: QUESTIONS[tool] ? "" : JSON.stringify(args, null, 1),
    verb,
    danger: ["service_delete", "project_down"].includes(tool),
  });
}

// A person's reply to a question of the server's. Only those that are answered by yes or no can be shown here.
async function replied({ method, params }) {
  const fields = Object.entries(params?.requestedSchema?.properties ?? {});
  if (method !== "elicitation/create" || fields.some(([, field]) => field.type !== "boolean")) return { action: "cancel" };
  const [title, ...rest] = params.message.split("\n");
  const yes = await asked({ title, means: "The policy of this server has a person confirm it.", details: rest.join("\n"), verb: "Yes, do it" });
  return yes ? { action: "accept", content: Object.fromEntries(fields.map(([name]) => [name, true])) } : { action: "decline" };
}

const asked = (question) =>
  new Promise((resolve) =>
    set({
      dialog: {
        ...question,
        done: (yes) => {
          set({ dialog: null });
          resolve(yes);
        },
      },
    }),
  );

function Confirmation({ dialog }) {
  const element = useRef(null);
  useEffect(() => {
    if (!element.current.open) element.current.showModal();
  }, []);
  const close = (yes) => (event) => {
    event.preventDefault();
    element.current.close();
    dialog.done(yes);
  };
  return html`<dialog ref=${element} class="dialog" aria-labelledby="dialog-title" onCancel=${close(false)}>
    <h2 id="dialog-title">${dialog.title}</h2>
    <p>${dialog.means}</p>
    ${dialog.details && html`<pre class="code" tabindex="0">${dialog.details}</pre>`}
    <div class="buttons">
      <button type="button" autofocus onClick=${close(false)}>Cancel</button>
      <button type="button" class=${dialog.danger ? "danger" : "primary"} onClick=${close(true)}>${dialog.verb}</button>
    </div>
  </dialog>`;
}

function Action({ tool, args, label, tone = "", question = true, disabled = false }) {
  const busy = working.has(`${tool} ${args.name ?? ""}`);
  return html`<button type="button" class=${tone} disabled=${busy || disabled} aria-busy=${busy}
    onClick=${() => act(tool, args, { question })}>${busy ? `${label}…` : label}</button>`;
}

function ServiceActions({ service }) {
  const args = { name: service.name };
  const up = !["stopped", "disconnected", "failed", "unknown"].includes(service.state);
  return html`<div class="buttons" role="group" aria-label=${`Actions on ${service.name}`}>
    <${Action} tool="service_start" args=${args} label="Start" question=${false} disabled=${up} />
    <${Action} tool="service_stop" args=${args} label="Stop" disabled=${["stopped", "disconnected"].includes(service.state)} />
    <${Action} tool="service_restart" args=${args} label="Restart" />
    ${service.leaseEndsAt && html`<${Action} tool="service_renew" args=${args} label="Renew lease" question=${false} />`}
    ${isOwn(service) && html`<${Action} tool="service_delete" args=${args} label="Delete" tone="quiet-danger" />`}
  </div>`;
}

function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">
    ${store.notices.map(
      (notice) => html`<div key=${notice.id} class=${`notice ${notice.tone}`}>
        <p>${notice.text}</p>
        <button type="button" class="plain" aria-label="Dismiss" onClick=${() => dismiss(notice.id)}>✕</button>
      </div>`,
    )}
  </div>`;
}
