// Node-RED for both tiers. Admin edits the flows under /admin; fleet serves them
// and has no editor. This file holds no secret.
"use strict";
const crypto = require("crypto");
const fs = require("fs");

const admin = process.env.RINGWALL_TIER === "admin";

// The administrator that `ringwall up` made; without one, nobody can log in.
function administrator() {
  try {
    const a = JSON.parse(fs.readFileSync(process.env.ADMIN_SECRET || "/run/secrets/admin.json", "utf8"));
    return a.username && a.password ? a : null;
  } catch (e) {
    return null;
  }
}

function same(a, b) {
  const hash = (s) => crypto.createHash("sha256").update(String(s)).digest();
  return crypto.timingSafeEqual(hash(a), hash(b));
}

module.exports = {
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.PORT || 9000),
  flowFile: "flows.json",
  flowFilePretty: true,
  readOnly: !admin,
  disableEditor: !admin,
  httpAdminRoot: admin ? "/admin" : false,
  adminAuth: {
    type: "credentials",
    users: async (name) => {
      const a = administrator();
      return a && same(name, a.username) ? { username: a.username, permissions: "*" } : null;
    },
    authenticate: async (name, password) => {
      const a = administrator();
      if (!a) return null;
      const ok = same(name, a.username) & same(password, a.password);
      return ok ? { username: a.username, permissions: "*" } : null;
    },
  },
  // The network refuses npm and the news anyway.
  externalModules: { autoInstall: false, palette: { allowInstall: false, allowUpload: false }, modules: { allowInstall: false } },
  functionExternalModules: false,
  telemetry: { enabled: false, updateNotification: false },
  editorTheme: { tours: false, codeEditor: { lib: "ace" } },
  diagnostics: { enabled: false, ui: false },
  runtimeState: { enabled: false, ui: false },
  logging: { console: { level: "info", metrics: false, audit: admin } },
};
