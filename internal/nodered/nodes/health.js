// /healthz says 200 once the flows run: before that, an instance would answer 404.
"use strict";
module.exports = function (RED) {
  let started = false;
  RED.events.on("flows:started", () => { started = true; });
  RED.httpNode.get("/healthz", (req, res) => {
    res.set("Cache-Control", "no-store").status(started ? 200 : 503).json({ ok: started });
  });
};
