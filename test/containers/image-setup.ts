import type { TestProject } from "vitest/node";
import { mustRun } from "./docker.ts";

declare module "vitest" {
  interface ProvidedContext {
    belfryImage: string;
  }
}

const image = "belfry:test";

/** Builds the image that the container tests look at, once for all of them. */
export default async function setup(project: TestProject): Promise<void> {
  const started = performance.now();
  await mustRun("docker", ["build", "--network", "host", "--tag", image, "."]);
  console.log(`containers: built ${image} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  project.provide("belfryImage", image);
}
