using Phi3VCluster.Training.Native;

namespace Phi3VCluster.Training.Tests.Native;

public sealed class CudaAllocatorTests
{
    /// <summary>It is asked by places in a table: a libtorch with another table must be known as such.</summary>
    [Fact]
    public void The_table_of_this_libtorch_is_the_known_one() => Assert.True(CudaAllocator.IsKnown);

    [Fact]
    public void A_symbols_size_is_its_librarys_word()
    {
        LibTorch.Load();
        Assert.Equal(CudaAllocator.KnownTable, DynamicLinker.SizeOf(CudaAllocator.TableSymbol));
        Assert.Null(DynamicLinker.SizeOf("no_such_symbol"));
        Assert.NotEqual(CudaAllocator.KnownTable, DynamicLinker.SizeOf("_ZTVN3c109AllocatorE"));
    }
}
