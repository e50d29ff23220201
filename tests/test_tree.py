"""``dt.impute``: each group of a DataTree by itself."""

import numpy as np
import pytest
import xarray as xr

from xdiffimpute.diffusion import DiffusionImputer
from xdiffimpute.exceptions import AxesError, DataError, ImputeError, TrainingInterrupted

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
def tree(gappy) -> xr.DataTree:
    """Two grids that share the root's times, a group without fields, and an empty one."""
    coarse = gappy.coarsen(lat=3).mean().drop_vars("time")
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(coords={"time": gappy["time"]}, attrs={"title": "two grids"}),
            "/fine": gappy.drop_vars("time"),
            "/levels/coarse": coarse.where(coarse["lat"] > 41),
            "/meta": xr.Dataset({"orbit": 3}),
        },
        name="product",
    )


def test_a_baseline_fills_each_group_as_it_fills_its_dataset(tree):
    filled = tree.impute.fill("linear")
    assert filled.name == "product" and filled.groups == tree.groups
    assert filled.attrs == tree.attrs
    for path in ("/fine", "/levels/coarse"):
        alone = tree[path].to_dataset().impute.fill("linear")
        xr.testing.assert_identical(filled[path].to_dataset().drop_attrs(), alone.drop_attrs())
        assert filled[path]["sst"].attrs == alone["sst"].attrs
        assert "time" not in filled[path]._node_coord_variables  # it stays inherited
    xr.testing.assert_identical(filled["/meta"].to_dataset(), tree["/meta"].to_dataset())


def test_map_over_datasets_does_the_same(tree):
    whole = tree.filter(lambda node: "sst" in node)
    mapped = whole.map_over_datasets(lambda ds: ds.impute.fill("nearest") if ds.data_vars else ds)
    filled = whole.impute.fill("nearest")
    for path in ("/fine", "/levels/coarse"):
        xr.testing.assert_identical(
            mapped[path].to_dataset().drop_attrs(), filled[path].to_dataset().drop_attrs()
        )


def test_networks_by_group(tree):
    imputers = tree.impute.fit(steps=1, progress=False)
    assert list(imputers) == ["/fine", "/levels/coarse"]
    filled = tree.impute.fill(imputers)
    for path, imputer in imputers.items():
        alone = imputer.fill(tree[path].to_dataset())
        xr.testing.assert_identical(filled[path].to_dataset().drop_attrs(), alone.drop_attrs())
    skill = tree.impute.score(imputers)
    assert np.isfinite(skill["/fine/sst"].sel(metric="rmse")).all()
    assert not skill["/meta"].data_vars
    only = tree.impute.fill({"/fine": imputers["/fine"]})
    assert "sst_imputation_flag" in only["/fine"] and "sst_imputation_flag" not in only["/levels"]


def test_one_imputer_and_lazy_groups(tree, no_compute):
    imputer = tree["/fine"].to_dataset().impute.fit(steps=1, progress=False)
    fine = tree.filter(lambda node: node.name == "fine").chunk(time=5)
    with no_compute():
        filled = fine.impute.fill(imputer)
    assert filled["/fine/sst"].chunks
    assert int(filled["/fine/sst_imputation_flag"].sum()) > 0


def test_a_part_of_a_tree(tree):
    filled = tree["/levels"].impute.fill("nearest")
    assert filled.groups == ("/", "/coarse")
    imputers = tree["/levels"].impute.fit(steps=1, progress=False)
    assert list(imputers) == ["/levels/coarse"]
    assert "sst_standard_error" in tree["/levels"].impute.fill(imputers)["coarse"]


def test_errors_name_the_group(tree, gappy):
    strange = gappy.drop_vars(["lat", "lon"]).rename(lat="row", lon="column")
    tree["/strange"] = xr.DataTree(strange.drop_vars("time"))
    with pytest.raises(AxesError, match=r"in the group '/strange': no y or x axis"):
        tree.impute.fill("linear")
    with pytest.raises(ImputeError, match=r"given for \['/fin'\]"):
        tree.impute.fill({"/fin": gappy.impute.fit(steps=1, progress=False)})


def test_groups_are_looked_at_before_the_first_training(tree, gappy, caplog, monkeypatch):
    """A group without gaps is passed over; one that cannot be learned from costs no training."""
    tree["/whole"] = xr.DataTree(gappy.fillna(10.0).drop_vars("time"))
    bounds = xr.Dataset({"lat_bnds": (("lat", "edge"), np.zeros((9, 2)))}, {"lat": gappy["lat"]})
    bounds["lat"].attrs["bounds"] = "lat_bnds"
    tree["/edges"] = xr.DataTree(bounds)
    assert list(tree.impute.fit(steps=1, progress=False)) == ["/fine", "/levels/coarse"]
    assert "the group '/whole' is passed over: nothing is missing in it" in caplog.text
    tree["/zzz"] = xr.DataTree(gappy.fillna(-999.0).drop_vars("time"))
    few = gappy.where(gappy["sst"] == gappy["sst"].max())
    with monkeypatch.context() as patch:
        patch.setattr("xdiffimpute.diffusion.fit_network", None)  # called, it would fail
        with pytest.raises(DataError, match="in the group '/zzz'.*undecoded fill values"):
            tree.impute.fit(steps=1, progress=False)
        tree["/zzz"] = xr.DataTree(few.drop_vars("time"))
        with pytest.raises(DataError, match="in the group '/zzz'.*too few to split"):
            tree.impute.fit(steps=1, progress=False)
        tree["/zzz"] = xr.DataTree(gappy.drop_vars("time"))
        with pytest.raises(ImputeError, match="in the group '/.*log='chl' names"):
            tree.impute.fit(steps=1, progress=False, log="chl")


def test_a_group_that_fails_in_training_costs_the_others_nothing(tree, caplog, monkeypatch):
    fit, done = DiffusionImputer.fit, []

    def fails(self, ds, *args, **kwargs):
        done.append(ds)
        if len(done) == 2:
            raise DataError("no observation could be withheld")
        return fit(self, ds, *args, **kwargs)

    monkeypatch.setattr(DiffusionImputer, "fit", fails)
    assert len(done) == 0 and len(fitted := tree.impute.fit(steps=1, progress=False)) == 1
    assert isinstance(next(iter(fitted.values())), DiffusionImputer)
    assert "no observation could be withheld; the other groups are fitted" in caplog.text


@pytest.mark.parametrize("error, begun", [(DataError, 2), (TrainingInterrupted, 1)])
def test_where_all_groups_fail_or_one_is_stopped_it_is_raised(tree, monkeypatch, error, begun):
    done = []

    def fails(self, ds, *args, **kwargs):
        done.append(ds)
        raise error("no more")

    monkeypatch.setattr(DiffusionImputer, "fit", fails)
    with pytest.raises(error, match="in the group '/fine'.*no more"):
        tree.impute.fit(steps=1, progress=False)
    assert len(done) == begun
