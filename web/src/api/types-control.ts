// The documents of definitions that are written through the API, of projects, and of requests for a second person.
import type { Diagnostic, Setting, UpcomingSlot } from "./types";

export interface ManagedFile {
  name: string;
  text: string;
  defines: string[];
}
export interface ManagedRow {
  name: string;
  bytes: number;
  defines: string[];
}
export interface ValueChange {
  path: string;
  before: string | null;
  after: string | null;
}
export interface DefinitionChange {
  path: string;
  change: "added" | "changed" | "removed";
  values: ValueChange[];
  upcoming: UpcomingSlot[];
}
export interface CheckedConfig {
  is_valid: boolean;
  is_allowed: boolean;
  refusal: string | null;
  diagnostics: Diagnostic[];
  changes: DefinitionChange[];
}
export interface ConfigWritten {
  file: ManagedFile | null;
  diagnostics: Diagnostic[];
  changes: DefinitionChange[];
  remarks: string[];
}
export interface Project {
  project: string;
  description: string | null;
  plans: string[];
  repositories: string[];
  quota_bytes: number | null;
  managed: string | null;
}
export interface MemberRole {
  role: string;
  see_names: boolean;
  read_content: boolean;
}
export interface Member {
  user: string;
  display: string;
  roles: MemberRole[];
}
export interface ProjectDetail extends Project {
  members: Member[] | null;
  origin: string;
  settings: Setting[];
}
export interface ProjectRemoved {
  files: string[];
  plans: string[];
  members: string[];
}
export type ApprovalState = "open" | "granted" | "denied" | "withdrawn" | "used" | "expired";
export interface Approval {
  approval: string;
  action: string;
  object: string;
  summary: string;
  document: unknown;
  state: ApprovalState;
  requested_by: string;
  requested: string;
  expires: string;
  decided_by: string | null;
  decided: string | null;
  reason: string | null;
  may_decide: boolean;
  may_withdraw: boolean;
}
