import type { Workload } from "./workload.ts";
import { compressionWorkload } from "./workloads/compression.ts";
import { fanOutWorkloads } from "./workloads/fan-out.ts";
import { idleWorkload } from "./workloads/idle.ts";
import { newcomersWorkload } from "./workloads/newcomers.ts";
import { pacedWorkload } from "./workloads/paced.ts";
import { replicasWorkloads } from "./workloads/replicas.ts";
import { requestsWorkloads } from "./workloads/requests.ts";
import { responsiveWorkloads } from "./workloads/responsive.ts";
import { slowWorkloads } from "./workloads/slow.ts";
import { topicsWorkload } from "./workloads/topics.ts";
import { usersWorkload } from "./workloads/users.ts";

/** All workloads, in the order they are run in. */
export const workloads: readonly Workload[] = [
  ...fanOutWorkloads,
  pacedWorkload,
  idleWorkload,
  usersWorkload,
  compressionWorkload,
  newcomersWorkload,
  ...slowWorkloads,
  ...replicasWorkloads,
  topicsWorkload,
  ...requestsWorkloads,
  ...responsiveWorkloads,
];
