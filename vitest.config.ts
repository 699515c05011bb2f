import { defineConfig } from "vitest/config";

const project = (name: string, options: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    // A test that waits longer than this waits for something that will not come.
    testTimeout: 15_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    ...options,
  },
});

export default defineConfig({
  test: {
    projects: [
      { test: { ...project("unit").test, include: ["test/unit/**/*.test.ts", "test/architecture.test.ts"] } },
      project("property"),
      project("contract", { globalSetup: ["test/support/redis-setup.ts"] }),
      project("integration", { globalSetup: ["test/support/redis-setup.ts"] }),
      project("topology", { globalSetup: ["test/support/redis-server-setup.ts"], testTimeout: 60_000 }),
      project("e2e", { globalSetup: ["test/support/redis-setup.ts"], testTimeout: 60_000, hookTimeout: 180_000 }),
      // Not part of `npm test`: they need Docker.
      project("containers", {
        globalSetup: ["test/containers/image-setup.ts"],
        testTimeout: 60_000,
        hookTimeout: 180_000,
      }),
    ],
    coverage: {
      include: ["src/**/*.ts"],
      // These run as processes of their own in the tests, where coverage is not collected.
      exclude: ["src/main.ts", "src/cli.ts"],
      reporter: ["text", "json-summary"],
      thresholds: {
        "src/hub/**": { lines: 95 },
        "src/protocol/**": { lines: 95 },
        "src/broker/**": { lines: 95 },
      },
    },
  },
});
