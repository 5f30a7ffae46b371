// usage: node nag.js REGION=FILE.json ...   with NODE_PATH
//
// Runs cdk-nag's AwsSolutions and NIST 800-53 r5 packs over plain templates and
// prints {"templates": N, "findings": [{pack, rule, level, template, resource, message}]}.
const fs = require('fs'), os = require('os'), path = require('path');
const { App, Stack, Validations } = require('aws-cdk-lib');
const { CfnInclude } = require('aws-cdk-lib/cloudformation-include');
const nag = require('cdk-nag');

const outdir = fs.mkdtempSync(path.join(os.tmpdir(), 'ringwall-nag-'));
process.on('exit', () => fs.rmSync(outdir, { recursive: true, force: true }));
const app = new App({ outdir, analyticsReporting: false });
const files = {};
process.argv.slice(2).forEach((arg, i) => {
  const cut = arg.indexOf('='), id = 'S' + i;
  files[id] = arg.slice(cut + 1);
  const stack = new Stack(app, id, { env: { account: '123456789012', region: arg.slice(0, cut) } });
  new CfnInclude(stack, 'T', { templateFile: files[id] });
});
const packs = [new nag.AwsSolutionsChecks(app), new nag.NIST80053R5Checks(app)];
Validations.of(app).addPlugins(...packs);
const log = console.error;
console.error = console.log = () => {}; // synth prints the report too
let failure;
try { app.synth(); } catch (e) { failure = e; }
console.error = log;
const name = path.join(outdir, 'validation-report.json');
if (!fs.existsSync(name)) {
  console.error(failure ? String(failure.message).slice(0, 4000) : 'cdk-nag wrote no report');
  process.exit(1);
}
const findings = [];
for (const report of JSON.parse(fs.readFileSync(name)).pluginReports) {
  for (const v of report.violations) {
    for (const c of v.violatingConstructs) {
      const parts = c.constructPath.split('/');
      findings.push({
        pack: report.pluginName, rule: v.ruleName, level: v.severity, template: files[parts[0]],
        resource: parts.slice(2).join('/'), message: v.description,
      });
    }
  }
}
process.stdout.write(JSON.stringify({ templates: Object.keys(files).length, findings }) + '\n');
