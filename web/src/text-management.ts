// The words of the pages on which a server is managed.
import type { Plural } from "./text-pages";

export const managementText = (plural: Plural) => ({
  problems: {
    unseen: (count: number) => `${plural(count, "problem")} that no one has acknowledged`,
  },

  config: {
    invalid: "A file of the configuration is wrong. The server follows what was valid before.",
    see: "See what is wrong",
  },
});
