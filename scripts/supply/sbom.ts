/** The bill of materials, CycloneDX 1.6 as JSON: the same source gives the same bytes. */
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import { FromNodePackageJson, License } from "@cyclonedx/cyclonedx-library/Contrib";
import parse from "spdx-expression-parse";
import type { Package } from "./packages.ts";

const licences = new License.Factories.LicenseFactory(parse);
const components = new FromNodePackageJson.Builders.ComponentBuilder(
  new FromNodePackageJson.Factories.ExternalReferenceFactory(),
  licences,
);

/** What was built. */
export interface Built {
  name: string;
  version: string;
  licence: string;
  /** Version of Deno, whose runtime the binary is. */
  runtime: string;
  /** Packages whose code is in it. */
  packages: readonly Package[];
}

/**
 * Neither serial number nor time, which would differ from build to build. What packages need and the bundle
 * has no code of is not listed.
 */
export function billOfMaterials({ name, version, licence, runtime, packages }: Built): string {
  const program = new Models.Component(Enums.ComponentType.Application, name, {
    bomRef: `${name}@${version}`,
    version,
    purl: `pkg:generic/${name}@${version}`,
    licenses: new Models.LicenseRepository([licences.makeFromString(licence)]),
  });
  const deno = new Models.Component(Enums.ComponentType.Platform, "deno", {
    bomRef: `deno@${runtime}`,
    version: runtime,
    purl: `pkg:github/denoland/deno@v${runtime}`,
    description: "the runtime; its own parts are in its Cargo.lock",
    licenses: new Models.LicenseRepository([licences.makeFromString("MIT")]),
  });
  const byId = new Map(packages.map((one) => [one.id, componentOf(one)]));
  for (const { id, needs } of packages) {
    const present = needs.flatMap((need) => byId.get(need)?.bomRef ?? []);
    for (const reference of present) byId.get(id)!.dependencies.add(reference);
  }
  for (const part of [deno, ...byId.values()]) program.dependencies.add(part.bomRef);
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ component: program }),
    components: new Models.ComponentRepository([deno, ...byId.values()]),
  });
  const serializer = new Serialize.JsonSerializer(
    new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6),
  );
  return serializer.serialize(bom, { sortLists: true, space: 2 }) + "\n";
}

function componentOf({ id, name, version, sha512, installed }: Package): Models.Component {
  if (!installed) throw new Error(`${id} is in the bundle and not installed`);
  const { manifest, licence } = installed;
  const component = components.makeComponent(
    { ...manifest, license: licence } as Parameters<
      typeof components.makeComponent
    >[0],
  );
  if (!component) throw new Error(`${id} has no name`);
  component.bomRef.value = id;
  component.purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  component.hashes.set(Enums.HashAlgorithm["SHA-512"], sha512);
  return component;
}
