// Holds the documents that the dashboard knows against the API's description: a field that has gone or has another type fails
// the check of types. Nothing of this is in what is built.
import type { components } from "./schema";
import type * as own from "./types";
import type * as control from "./types-control";
import type * as figures from "./types-figures";
import type * as restores from "./types-restores";
import type * as snapshots from "./types-snapshots";

type Schemas = components["schemas"];
/** What the API answers can be read as what the dashboard expects. */
type Reads<Own, Answered extends Own> = [Own, Answered];

export type Contract = [
  Reads<own.Health, Schemas["Health"]>,
  Reads<own.About, Schemas["About"]>,
  Reads<own.Overview, Schemas["Overview"]>,
  Reads<own.Matrix, Schemas["Matrix"]>,
  Reads<own.Plan, Schemas["Plan"]>,
  Reads<own.PlanDetail, Schemas["PlanDetail"]>,
  Reads<own.HistoryPoint, Schemas["HistoryPoint"]>,
  Reads<own.Run, Schemas["Run"]>,
  Reads<own.Pattern, Schemas["Pattern"]>,
  Reads<own.Repository, Schemas["Repository"]>,
  Reads<own.RepositoryDetail, Schemas["RepositoryDetail"]>,
  Reads<own.Notification, Schemas["Notification"]>,
  Reads<own.Target, Schemas["Target"]>,
  Reads<own.Route, Schemas["Route"]>,
  Reads<own.Delivery, Schemas["Delivery"]>,
  Reads<own.Diagnostic, Schemas["Diagnostic"]>,
  Reads<own.AuditVerdict, Schemas["AuditVerdict"]>,
  Reads<snapshots.SnapshotDetail, Schemas["SnapshotDetail"]>,
  Reads<snapshots.Entry, Schemas["Entry"]>,
  Reads<snapshots.Change, Schemas["Change"]>,
  Reads<snapshots.SnapshotChanged, Schemas["SnapshotChanged"]>,
  Reads<snapshots.SnapshotStanding, Schemas["SnapshotStanding"]>,
  Reads<snapshots.KeptSnapshot, Schemas["KeptSnapshot"]>,
  Reads<figures.Analytics, Schemas["Analytics"]>,
  Reads<figures.Performance, Schemas["Performance"]>,
  Reads<figures.RepositoryStorage, Schemas["RepositoryStorage"]>,
  Reads<figures.StorageForecast, Schemas["StorageForecast"]>,
  Reads<figures.StorageAdvice, Schemas["StorageAdvice"]>,
  Reads<figures.PrunePreview, Schemas["PrunePreview"]>,
  Reads<figures.FoundLines, Schemas["FoundLines"]>,
  Reads<control.ManagedFile, Schemas["ManagedFile"]>,
  Reads<control.ManagedRow, Schemas["ManagedRow"]>,
  Reads<control.CheckedConfig, Schemas["CheckedConfig"]>,
  Reads<control.ConfigWritten, Schemas["ConfigWritten"]>,
  Reads<control.Project, Schemas["Project"]>,
  Reads<control.ProjectDetail, Schemas["ProjectDetail"]>,
  Reads<control.ProjectRemoved, Schemas["ProjectRemoved"]>,
  Reads<control.Approval, Schemas["Approval"]>,
  Reads<restores.RestorePlaces, Schemas["RestorePlaces"]>,
  Reads<restores.RestorePreview, Schemas["RestorePreview"]>,
  Reads<restores.Restore, Schemas["Restore"]>,
  Reads<restores.RestoreDetail, Schemas["RestoreDetail"]>,
];
