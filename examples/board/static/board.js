// Tells readers of a page that something new was written. The pages work without it.
"use strict";
let wait = 1000;
function follow() {
  const ws = new WebSocket(location.origin.replace(/^http/, "ws") + "/live");
  ws.onmessage = (m) => {
    const e = JSON.parse(m.data);
    wait = 1000;
    if (e.type === "hello" || e.type === "resync") return;
    const a = document.createElement("a");
    a.href = "/posts/" + e.post + (e.id ? "?after=" + e.id + "#comment-" + e.id : "");
    a.textContent = e.title;
    const news = document.getElementById("news");
    news.replaceChildren(e.type === "post" ? "Posted: " : "New comment on ", a);
    news.hidden = false;
  };
  ws.onclose = () => { setTimeout(follow, wait); wait = Math.min(wait * 2, 60000); };
}
if (!location.pathname.startsWith("/admin")) follow();
