// Every object of every kustomization in deploy/k8s, held to the schema of its kind.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { loadAll } from "js-yaml";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../../../deploy/k8s");
const packages = ["kubernetes-models", "@kubernetes-models/cert-manager", "@kubernetes-models/prometheus-operator"];

const folders = [root, join(root, "overlays")]
  .flatMap(parent => readdirSync(parent).map(name => join(parent, name)))
  .filter(folder => existsSync(join(folder, "kustomization.yaml")));

async function modelOf(object) {
  for (const name of packages) {
    const file = join(here, "node_modules", name, object.apiVersion, `${object.kind}.js`);
    if (existsSync(file)) return (await import(pathToFileURL(file)))[object.kind];
  }
}

let valid = 0;
const problems = [];
for (const folder of folders) {
  for (const object of loadAll(execFileSync("kubectl", ["kustomize", folder]).toString())) {
    const where = `${folder.slice(root.length + 1)}: ${object.kind} ${object.metadata?.name}`;
    const Model = await modelOf(object);
    if (!Model) {
      problems.push(`${where}: no schema of ${object.apiVersion}`);
      continue;
    }
    try {
      new Model(object).validate();
      valid++;
    } catch (error) {
      problems.push(`${where}: ${error.message}`);
    }
  }
}
for (const problem of problems) console.error(problem);
console.log(`${valid} objects are valid, ${problems.length} are not`);
process.exitCode = valid > 0 && problems.length === 0 ? 0 : 1;
