using Phi3VCluster.Training.Native;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Native;

public sealed class ScalarOpsTests
{
    [Fact]
    public void Scaling_in_place_changes_the_tensor_and_leaves_it_usable()
    {
        using var x = ones(3);
        using var view = x.narrow(0, 1, 1);

        view.Scale(0.5);

        Assert.Equal([1f, 0.5f, 1f], x.data<float>().ToArray());
        Assert.Equal(0.5f, view.item<float>());
    }
}
