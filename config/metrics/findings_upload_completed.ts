import { defineMetric } from "../../src/index.ts";

export default defineMetric({
  name: "findings_upload_completed",
  title: "Findings uploaded",
  description:
    "A scanner's results of one repository have arrived and been compared with what was known before.",
  when: "Once an upload, when all of its findings are stored.",
  owner: "findings",
  source: {
    bus: "product",
    source: "acme.findings",
    detailType: "Upload Status Changed",
    pattern: { detail: { status: ["completed"] } },
  },
  sample: {
    tenantId: "acme-robotics",
    status: "completed",
    completedAt: "2026-11-20T09:29:58.412Z",
    repository: "payments-api",
    scanner: "semgrep",
    baseline: false,
    durationSeconds: 41.7,
    counts: { new: 3, fixed: 1 },
    actor: { userId: "user-17" },
  },
  tenantId: "$.detail.tenantId",
  eventTime: "$.detail.completedAt",
  dimensions: {
    repository: {
      type: "string",
      from: "$.detail.repository",
      description: "The repository that was scanned.",
    },
    scanner: { type: "string", from: "$.detail.scanner", description: "The tool that found the findings." },
    user_id: {
      type: "string",
      from: "$.detail.actor.userId",
      description: "Who started the upload, unless a machine did.",
      optional: true,
      personal: { visibleTo: ["segment", "mixpanel"] },
    },
  },
  data: {
    new_findings_count: {
      type: "integer",
      from: "$.detail.counts.new",
      unit: "findings",
      description: "Findings that were not known before.",
    },
    fixed_findings_count: {
      type: "integer",
      from: "$.detail.counts.fixed",
      unit: "findings",
      description: "Known findings that are not there any more.",
    },
    duration_seconds: {
      type: "number",
      from: "$.detail.durationSeconds",
      unit: "seconds",
      description: "From the beginning of the upload to its end.",
    },
    is_baseline: {
      type: "boolean",
      from: "$.detail.baseline",
      description: "The first upload of a repository: everything in it is new.",
    },
  },
  sinks: {
    timestream: {},
    segment: { name: "Findings Uploaded" },
    mixpanel: { name: "Findings Uploaded" },
    "hubspot-events": { name: "findings_uploaded" },
    "hubspot-companies": {
      properties: {
        last_upload_new_findings: "new_findings_count",
        last_upload_fixed_findings: "fixed_findings_count",
      },
    },
  },
});
