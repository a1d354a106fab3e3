// Keeps #live up to date: by server-sent events where there is a stream, else by the clock.
// Without this script every page works, and shows the present state when it is loaded again.
"use strict";

async function renew() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) { location.reload(); return; } // the session has ended
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  const old = document.getElementById("live");
  if (!fresh || !old || fresh.innerHTML === old.innerHTML) return;
  // Someone who works by keyboard must not lose their place.
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus();
}

const live = document.getElementById("live");
if (live?.dataset.stream) {
  const source = new EventSource(live.dataset.stream);
  const changed = async () => {
    await renew();
    if (!document.getElementById("live")?.dataset.stream) source.close();
  };
  source.addEventListener("job", changed);
  source.addEventListener("progress", changed);
  // Layers have workers of their own, whose progress is not in the job's stream.
  const clock = setInterval(() => {
    if (source.readyState === EventSource.CLOSED) clearInterval(clock);
    else if (!document.hidden) renew();
  }, 2000);
} else if (live?.dataset.refresh) {
  setInterval(() => { if (!document.hidden) renew(); }, 1000 * Number(live.dataset.refresh));
}
