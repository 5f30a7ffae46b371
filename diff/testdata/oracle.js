// Reads [{"before": template, "after": template}, …] from standard input and prints
// what the CDK's template diff says of each: {"broadened": bool, "impacts": {id: impact}}.
const { fullDiff } = require('@aws-cdk/cloudformation-diff');
const pairs = JSON.parse(require('fs').readFileSync(0));
const out = pairs.map(({ before, after }) => {
  const d = fullDiff(before, after), impacts = {};
  d.resources.forEachDifference((id, change) => { impacts[id] = change.changeImpact; });
  return { broadened: d.permissionsBroadened, impacts };
});
process.stdout.write(JSON.stringify(out));
