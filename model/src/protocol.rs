//! The protocol as a model that a checker can explore, and its exploration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::mutant::Mutant;
use crate::properties::{ALWAYS, SOMETIMES};
use crate::rules::{Bounds, Rules, Step};
use crate::state::{Action, State, possible_actions};

/// The protocol under some rules.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// The rules.
    pub rules: Rules,
    first: State,
    actions: Vec<Action>,
    /// A set bit says that the property has an example already. Without it, the checker would replace the
    /// first and shortest example of a property by each later one.
    exemplified: Arc<AtomicU32>,
}

impl Protocol {
    /// The protocol as it is.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self::under(Rules { bounds, mutant: None })
    }

    /// The protocol without one rule.
    #[must_use]
    pub fn lacking(mutant: Mutant, bounds: Bounds) -> Self {
        Self::under(Rules { bounds, mutant: Some(mutant) })
    }

    /// The histories that begin with these steps. `None` if the steps can't be taken.
    #[must_use]
    pub fn after(mut self, steps: &[Action]) -> Option<Self> {
        let mut taken = steps.iter().map(|action| self.first.step(*action, &self.rules));
        taken.all(|step| step == Step::Done).then_some(self)
    }

    fn under(rules: Rules) -> Self {
        let actions = possible_actions(&rules);
        Self { rules, first: State::first(), actions, exemplified: Arc::default() }
    }

    /// Whether this state is the first example of a property. A state is an example of an invariant if it
    /// breaks it.
    fn exemplifies(&self, property: usize, state: &State) -> bool {
        let (mask, invariants) = (1 << property, ALWAYS.len());
        if self.exemplified.load(Ordering::Relaxed) & mask != 0 {
            return false;
        }
        let example = match property.checked_sub(invariants) {
            None => !(ALWAYS[property].1)(state),
            Some(property) => (SOMETIMES[property].1)(state),
        };
        example && self.exemplified.fetch_or(mask, Ordering::Relaxed) & mask == 0
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Action>) {
        actions.extend_from_slice(&self.actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = *last;
        let step = next.step(action, &self.rules);
        next.forget_irrelevant(&self.rules);
        (step == Step::Done && next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            invariant::<0>(),
            invariant::<1>(),
            invariant::<2>(),
            invariant::<3>(),
            invariant::<4>(),
            invariant::<5>(),
            invariant::<6>(),
            invariant::<7>(),
            invariant::<8>(),
            invariant::<9>(),
            event::<0>(),
            event::<1>(),
            event::<2>(),
            event::<3>(),
            event::<4>(),
            event::<5>(),
            event::<6>(),
            event::<7>(),
            event::<8>(),
            event::<9>(),
            event::<10>(),
            event::<11>(),
            event::<12>(),
            event::<13>(),
            event::<14>(),
            event::<15>(),
        ]
    }
}

/// The checker takes a plain function for each property, which can't capture a number: so it is a constant.
fn invariant<const N: usize>() -> Property<Protocol> {
    Property::always(ALWAYS[N].0, |protocol, state| !protocol.exemplifies(N, state))
}

fn event<const N: usize>() -> Property<Protocol> {
    Property::sometimes(SOMETIMES[N].0, |protocol, state| protocol.exemplifies(ALWAYS.len() + N, state))
}

/// The result of an exploration.
#[derive(Debug)]
pub struct Exploration {
    /// Different states; states that are equal by symmetry count once.
    pub states: usize,
    /// Steps of the longest history that was explored.
    pub depth: usize,
    /// The properties that have examples: broken invariants, and events that happen. Each has the steps that
    /// lead to its first example.
    pub examples: Vec<(&'static str, Vec<Action>)>,
}

impl Exploration {
    /// The steps to the first example of this property.
    #[must_use]
    pub fn example(&self, property: &str) -> Option<&[Action]> {
        let found = self.examples.iter().find(|(name, _)| *name == property);
        found.map(|(_, actions)| actions.as_slice())
    }

    /// The invariants that don't hold.
    #[must_use]
    pub fn broken(&self) -> Vec<&'static str> {
        let invariants = ALWAYS.iter().map(|(name, _)| *name);
        invariants.filter(|name| self.example(name).is_some()).collect()
    }
}

impl Protocol {
    /// Explores all histories. Of histories that differ only by the names of equal processes, it explores
    /// one.
    #[must_use]
    pub fn explore(self, threads: usize) -> Exploration {
        let symmetry = if self.rules.bounds.writers == 2 {
            State::representative
        } else {
            State::with_collectors_sorted
        };
        finish(self.checker().threads(threads).symmetry_fn(symmetry).spawn_dfs().join())
    }

    /// Explores the shortest histories first, until one breaks this invariant.
    #[must_use]
    pub fn hunt(self, invariant: &'static str, states_max: usize) -> Exploration {
        let found = HasDiscoveries::AllOf([invariant].into());
        let checker = self.checker().finish_when(found).target_state_count(states_max);
        finish(checker.spawn_bfs().join())
    }
}

fn finish(checker: impl Checker<Protocol>) -> Exploration {
    let examples = checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions()));
    Exploration {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        examples: examples.collect(),
    }
}
