using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Methods;
using Phi3VCluster.Training.Optim;

namespace Phi3VCluster.Training.Tests;

/// <summary>A new file brings a name: it has a place in <see cref="KnownNames"/> too, where specs are checked without a silo.</summary>
public sealed class KnownNamesTests
{
    [Fact]
    public void The_spec_knows_every_name_that_is_implemented_and_no_other()
    {
        Assert.Equal(Names<ITrainingMethod>(), KnownNames.Methods);
        Assert.Equal(Names<IDataset>(), KnownNames.Datasets);
        Assert.Equal(Names<ILearningRateSchedule>(), KnownNames.Schedules);
        Assert.Equal(Names<IMetric>(), KnownNames.Metrics);
        Assert.Equal(Names<ICollectiveBackend>(), KnownNames.Collectives);
    }

    [Fact]
    public void It_knows_how_many_rows_each_dataset_holds_out() =>
        Assert.All(Catalog<IDataset>.All, dataset => Assert.Equal(dataset.HeldOutRows, KnownNames.HeldOutRows(dataset.Name)));

    private static IEnumerable<string> Names<T>() where T : class, INamed => Catalog<T>.All.Select(one => one.Name);
}
