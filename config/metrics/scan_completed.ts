import { defineMetric } from "../../src/index.ts";

export default defineMetric({
  name: "scan_completed",
  title: "Scan completed",
  description: "A scan of one repository has come to its end, well or badly.",
  when: "Once a scan, when the scanner stops.",
  owner: "scanning",
  source: { bus: "product", source: "acme.scanner", detailType: "Scan Completed" },
  sample: {
    tenantId: "acme-robotics",
    endedAt: "2026-11-20T09:28:11.900Z",
    repository: "payments-api",
    scanner: "semgrep",
    succeeded: true,
    stats: { seconds: 318.4, files: 10_482 },
    actor: { userId: "user-17" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.endedAt",
  dimensions: {
    repository: {
      type: "string",
      from: "$.detail.repository",
      description: "The repository that was scanned.",
    },
    scanner: { type: "string", from: "$.detail.scanner", description: "The tool that scanned it." },
    user_id: {
      type: "string",
      from: "$.detail.actor.userId",
      description: "Who started the scan, unless a schedule did.",
      optional: true,
      personal: { visibleTo: ["segment", "mixpanel"] },
    },
  },
  data: {
    duration_seconds: {
      type: "number",
      from: "$.detail.stats.seconds",
      unit: "seconds",
      description: "From the scan's beginning to its end.",
    },
    files_scanned: {
      type: "integer",
      from: "$.detail.stats.files",
      unit: "files",
      description: "Files that the scanner read.",
    },
    succeeded: {
      type: "boolean",
      from: "$.detail.succeeded",
      description: "The scan read everything that it was meant to.",
    },
  },
  sinks: {
    timestream: {},
    segment: { name: "Scan Completed" },
    mixpanel: { name: "Scan Completed" },
    "hubspot-events": {},
    "hubspot-companies": {
      properties: { last_scan_succeeded: "succeeded", last_scan_files: "files_scanned" },
    },
  },
});
