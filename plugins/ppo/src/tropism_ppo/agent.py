"""PPO as a Tropism agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from stable_baselines3 import PPO

from tropism.agents.contract import Agent, Budget, Task
from tropism.errors import UnsupportedTaskError
from tropism_ppo import actions
from tropism_ppo.config import PPOConfig
from tropism_ppo.encoding import make_encoder
from tropism_ppo.lanes import make_lanes
from tropism_ppo.networks import policy_class, policy_kwargs
from tropism_ppo.normalization import Normalization, wrap
from tropism_ppo.policy import PPOPolicy
from tropism_ppo.presets import Plan, make_plan, resolve
from tropism_ppo.training import Trainer, make_logger, own_random_state

if TYPE_CHECKING:
    from tropism.agents.runs import Run


class PPOAgent(Agent):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347), by Stable-Baselines3.

    Vectors go through an MLP, images through a CNN, dictionaries through both; settings left open in the
    config are chosen for the task.  The same config and seed give the same weights.
    """

    Config = PPOConfig
    policy_type: type[PPOPolicy] = PPOPolicy
    algorithm_type: type[Any] = PPO

    def supports(self, task: Task) -> str | None:
        """``None``, or why PPO cannot run ``task``: kinds of spaces it does not take."""
        if task.agents:
            return "PPO plays single-agent environments"
        observation_space, action_space = task.spaces()
        try:
            make_encoder(self.config.encoding, self.config.window or 1, task, observation_space)
        except UnsupportedTaskError as error:
            return str(error)
        return actions.unsupported(action_space)

    def train(self, task: Task, budget: Budget, run: Run) -> PPOPolicy:
        """Learn ``task`` within ``budget``, from the latest checkpoint of ``run`` on.

        Never takes more than ``budget.env_steps`` steps; with ``budget.wall_s`` it stops after the rollout in
        which that time has passed.

        Raises:
            UnsupportedTaskError: if :meth:`supports` has a reason against ``task``.
            ArtifactError: if the latest checkpoint is damaged.
        """
        if reason := self.supports(task):
            raise UnsupportedTaskError(f"{type(self).__name__} cannot run {task.env_id}: {reason}")
        config = resolve(self.config, task, budget)
        torch.set_num_threads(config.threads)
        plan = make_plan(config, budget)
        task_spaces = task.spaces()
        encoder = make_encoder(config.encoding, config.window, task, task_spaces[0])
        lanes = make_lanes(task, plan.n_envs, encoder)
        try:
            with own_random_state():
                venv = wrap(
                    lanes,
                    observation=config.normalize_observation,
                    reward=config.normalize_reward,
                    gamma=config.gamma,
                )
                model = self._model(config, plan, venv)
                model.set_logger(make_logger(run, config.tensorboard))
                policy = self.policy_type(
                    model.policy, config, encoder, Normalization(), task_spaces
                )
                trained = Trainer(model, venv, policy, task, plan, run, self.seed).train(
                    budget.wall_s
                )
                model.logger.close()
                return trained
        finally:
            lanes.close()

    def _model(self, config: PPOConfig, plan: Plan, venv: Any) -> Any:
        """An untrained SB3 algorithm; it is not given the seed, which would seed environments of its own choice."""
        torch.manual_seed(self.seed)
        recurrent = self.policy_type.algorithm != "ppo"
        return self.algorithm_type(
            policy_class(venv.observation_space, recurrent=recurrent),
            venv,
            learning_rate=config.learning_rate,
            n_steps=plan.n_steps,
            batch_size=plan.batch_size,
            n_epochs=config.n_epochs,
            gamma=config.gamma,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_range,
            ent_coef=config.ent_coef,
            vf_coef=config.vf_coef,
            max_grad_norm=config.max_grad_norm,
            policy_kwargs=policy_kwargs(config),
            device=config.device,
        )

    @classmethod
    def load(cls, directory: Path, task: Task) -> PPOPolicy:
        """The policy saved in ``directory``; see :meth:`tropism_ppo.policy.PPOPolicy.load`."""
        return cls.policy_type.load(directory, task)
