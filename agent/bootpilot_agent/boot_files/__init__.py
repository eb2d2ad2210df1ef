"""What an installed system says about how it is started, in the forms that the field uses: one module for each."""
