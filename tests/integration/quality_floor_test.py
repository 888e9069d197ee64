# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Jobs with a quality floor on the real processes: quantize, probe, plan, run, refuse."""

from fleet import metric, receipt_of
from scene import Scene


class QualityFloor(Scene):
    def floor_file(self, name="floor", model="base", **floor):
        return self.job_file(name, quality_floor=floor, generate={"model": model, "prompts": ["The mast is"], "max_new_tokens": 16})

    def alternatives(self, **floor):
        """What the only device is offered: by model, the choice first."""
        plan = self.fleet.wattle("plan", self.floor_file("plan", **floor))
        candidate, = plan["candidates"]
        return {one["model"]: one for one in candidate.get("alternatives", [])}, candidate.get("model_choice") or {}

    def quantize(self, form):
        job = self.fleet.submit(self.job_file(form, quantize={"model": "base", "quantization": form}))
        self.assert_succeeded(self.fleet.until_done(job))
        return f"job:{job}/output"

    def test_the_cheapest_model_that_meets_the_floor_runs(self):
        self.start("one")
        self.push_demo()
        int8, int4 = self.quantize("int8"), self.quantize("int4")

        # Nothing is offered unmeasured but the model itself, and each line says what to do.
        models, choice = self.alternatives(kl_divergence_max=100)
        self.assertEqual(choice["model"], "base")
        self.assertEqual({model: one["offered"] for model, one in models.items()}, {"base": True, int8: False, int4: False})
        for model in (int8, int4):
            self.assertIn("wattle probe base --data", models[model]["reason"])

        self.fleet.wattle("probe", "base", "--data", "heldout", "--watch")
        models, choice = self.alternatives(kl_divergence_max=100)
        self.assertTrue(all(one["offered"] and one["speed_measured"] for one in models.values()), models)
        cost = {model: one["net_energy_joules_per_unit"] for model, one in models.items()}
        self.assertEqual(choice["model"], min(cost, key=cost.get), "the fewest joules per token")
        self.assertLess(models[int4]["stored_bytes"], models[int8]["stored_bytes"])
        divergence = {model: models[model]["quality"]["kl_divergence"] for model in (int8, int4)}
        self.assertLess(divergence[int8], divergence[int4])
        self.assertEqual(self.fleet.run_wattle("probe", "base").stdout.count("nothing to probe"), 1)

        # Two floors, two choices: between the two divergences, and below both.
        between = (divergence[int8] + divergence[int4]) / 2
        self.assertEqual(self.alternatives(kl_divergence_max=between, models=[int8, int4])[1]["model"], int8)
        models, choice = self.alternatives(kl_divergence_max=0)
        self.assertEqual(choice["model"], "base", "nothing else is as good as the model itself")
        self.assertIn("and the floor is KL divergence at most 0 nats", models[int8]["reason"])

        # The device is given that model, and the receipt says which ran and why.
        job = self.fleet.submit(self.floor_file(kl_divergence_max=between, models=[int8, int4]))
        receipt = receipt_of(self.assert_succeeded(self.fleet.until_done(job)))
        self.assertEqual(receipt["work"]["signature"]["quantization"], "int8")
        self.assertEqual(receipt["model_choice"]["model"], int8)
        self.assertGreater(metric(receipt, "generated_tokens"), 0)
        shown = self.fleet.run_wattle("job", "receipt", job).stdout
        self.assertIn(f"model         runs {int8} (int8)", shown)
        self.assertIn(f"fetched model {int8}", self.fleet.run_wattle("job", "logs", job).stdout)
        self.assertIn("J/token", self.fleet.run_wattle("plan", self.floor_file(kl_divergence_max=between)).stdout)

        # A floor that nobody meets is refused, and the nearest is named.
        refused = self.fleet.run_wattle("submit", self.floor_file(kl_divergence_max=0, models=[int8, int4]))
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn(f"no model has KL divergence at most 0 nats; the nearest is {int8} with KL divergence", refused.stderr)
