// Starts the emulator's image for a test, and leads Google's library to it.
//
//   docker build -t gcp-metadata-emulator ../../../..
//   npm ci && npm test
import assert from "node:assert/strict";
import {after, before, test} from "node:test";

import metadata from "gcp-metadata";
import {GenericContainer, Wait} from "testcontainers";

const world = "project: {id: from-a-container}";
// The names of the machine with the engine besides localhost: if this test itself runs in a container,
// as in most CI, it is the gateway's address, or the name of the engine's service.
const hosts = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,docker";
let container;

before(async () => {
  container = await new GenericContainer("gcp-metadata-emulator")
    .withExposedPorts(8254)
    .withCopyContentToContainer([{content: world, target: "/world.yaml", mode: 0o444}])
    .withEnvironment({GCP_METADATA_EMULATOR_FIXTURE: "/world.yaml", GCP_METADATA_EMULATOR_ALLOW_HOST: hosts})
    .withWaitStrategy(Wait.forHttp("/emulator/v1/readyz", 8254))
    .start();
  process.env.GCE_METADATA_HOST = `${container.getHost()}:${container.getMappedPort(8254)}`;
});

after(() => container?.stop());

test("the project is the fixture's", async () => {
  assert.equal(await metadata.project("project-id"), "from-a-container");
});
